// One engine for all live sheets of a page, away from the page's own thread.
import { start, open, edit, read, exact } from './engine.js'

const models = new Map()
let ready

const tasks = {
  start: ({ wasm }) => { ready ??= start(wasm); return ready.then(() => true) },
  open: ({ key, doc, bytes }) => { models.set(key, open(doc, bytes)); return true },
  edit: ({ key, edits, cells }) => { edit(models.get(key), edits); return cells.map(at => read(models.get(key), ...at)) },
  read: ({ key, cells }) => cells.map(at => read(models.get(key), ...at)),
  exact: ({ key, cells }) => exact(models.get(key), cells),
  close: ({ key }) => { models.get(key)?.free(); models.delete(key) },
}

self.onmessage = async ({ data: { id, task, ...rest } }) => {
  try {
    if (task !== 'start') await ready
    self.postMessage({ id, result: await tasks[task](rest) })
  } catch (e) { self.postMessage({ id, error: String(e?.message ?? e) }) }
}
