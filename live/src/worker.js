// One engine for all live sheets of a page, away from the page's own thread.
import { Dependents, name } from './cells.js'
import { start, open, edit, read, exact } from './engine.js'

const books = new Map() // key -> the workbook, which formulas follow from which cells, and the sheet that is shown
let ready

const tasks = {
  start: ({ wasm }) => { ready ??= start(wasm).catch(e => { throw new Error(`the engine could not be loaded (${e.message})`) }); return ready.then(() => true) },
  open: ({ key, doc, bytes, sheet }) => { books.set(key, { model: open(doc, bytes), dependents: new Dependents(doc), sheet }) },
  edit: ({ key, edits }) => { // cells of the shown sheet, [row, column, content]; then address and value of each of its formulas behind them
    const { model, dependents, sheet } = books.get(key), places = edits.map(([r, c, content]) => [sheet, r, c, content])
    edit(model, places)
    return dependents.of(places).filter(([k]) => k === sheet).map(([k, r, c]) => [name(r, c), read(model, k, r, c)])
  },
  exact: ({ key, cells }) => { const { model, sheet } = books.get(key); return exact(model, cells.map(([r, c]) => [sheet, r, c])) },
}

self.onmessage = async ({ data: { id, task, ...rest } }) => {
  try {
    if (task !== 'start') await ready
    self.postMessage({ id, result: await tasks[task](rest) })
  } catch (e) { self.postMessage({ id, error: String(e?.message ?? e) }) }
}
