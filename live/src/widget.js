// A live sheet in a notebook: the same element, with worker and engine inside one file; edits go to Python and come back.
import workerSource from 'virtual:worker'
import wasm from '../node_modules/@ironcalc/wasm/wasm_bg.wasm'
import { connect } from './client.js'
import { OpenSheet, plain } from './element.js'

function render({ model, el }) {
  connect(() => new Worker(URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' })), { type: 'module' }), wasm)
  const sheet = document.createElement('live-sheet')
  for (const name of ['sheet', 'view', 'paint']) if (model.get(name)) sheet.setAttribute(name, model.get(name))
  sheet._started = true // it is opened here, from the notebook's document
  el.append(sheet)
  Object.setPrototypeOf(sheet, OpenSheet.prototype)
  sheet.load(model.get('document')).then(() => { sheet._open.resolve(sheet); colour() }, e => { el.textContent = `The sheet could not be opened: ${e.message}` })
  let fromPython = false
  sheet.addEventListener('change', ({ detail }) => {
    if (fromPython) return
    model.set('inputs', { ...model.get('inputs'), ...detail })
    model.save_changes()
  })
  const colour = () => sheet.tint(model.get('colours'))
  model.on('change:colours', colour)
  model.on('change:inputs', async () => {
    const news = Object.entries(model.get('inputs')).filter(([at, v]) => plain(sheet.values.get(at)) !== v)
    if (!news.length) return
    fromPython = true
    await sheet.setMany(Object.fromEntries(news))
    fromPython = false
  })
}

export default { render }
