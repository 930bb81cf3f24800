// What a page of the site loads: the engine in a worker beside this file, and the elements.
import { connect } from './client.js'
import './element.js'
import './draw.js'

const here = new URL('.', import.meta.url)
connect(() => new Worker(new URL('worker.js', here), { type: 'module' }), new URL('ironcalc.wasm', here).href)
