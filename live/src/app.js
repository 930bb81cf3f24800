// Loaded at the first click of a page: the engine in a worker beside this file, and what the elements become.
import { connect } from './client.js'

const here = new URL('.', import.meta.url)
connect(() => new Worker(new URL('worker.js', here), { type: 'module' }), new URL('ironcalc.wasm', here).href)

export { OpenSheet } from './element.js'
export { OpenReader } from './draw.js'
