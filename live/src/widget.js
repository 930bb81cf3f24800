// A live sheet in a notebook: the same element, with worker and engine inside one file; edits go to Python and come back.
import workerSource from 'virtual:worker'
import wasm from '../node_modules/@ironcalc/wasm/wasm_bg.wasm'
import { connect, disconnect } from './client.js'
import { OpenSheet, plain } from './element.js'

let shown = 0 // views of this widget

function render({ model, el }) {
  connect(() => new Worker(URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' })), { type: 'module' }), wasm)
  const sheet = document.createElement('live-sheet')
  for (const name of ['sheet', 'view', 'paint']) if (model.get(name)) sheet.setAttribute(name, model.get(name))
  sheet._started = true // it is opened here, from the notebook's document
  el.append(sheet)
  const colour = () => sheet.tint(model.get('colours'))
  const take = async () => {
    const news = Object.entries(model.get('inputs')).filter(([at, v]) => plain(sheet.values.get(at)) !== v)
    try { await sheet.setMany(Object.fromEntries(news), false) } catch (e) { sheet._say(e.message) }
  }
  const open = async () => {
    Object.setPrototypeOf(sheet, OpenSheet.prototype)
    sheet.addEventListener('change', ({ detail }) => { // the cells are there before the engine has started, so an edit may be early
      model.set('inputs', { ...model.get('inputs'), ...detail })
      model.save_changes()
    })
    await sheet.load(model.get('document'))
    model.on('change:colours', colour)
    model.on('change:inputs', take)
    await take() // what was typed before, or in another view
    colour()
    sheet._open.resolve(sheet)
  }
  const inPage = new ResizeObserver(() => { // a notebook may put the element into its page later, and only there it has a width
    if (!sheet.isConnected) return
    inPage.disconnect()
    open().catch(e => { el.textContent = `The sheet could not be opened: ${e.message}` })
  })
  inPage.observe(el)
  shown++
  return () => { // the cell was run again or removed
    inPage.disconnect()
    model.off('change:colours', colour)
    model.off('change:inputs', take)
    if (!--shown) disconnect()
  }
}

export default { render }
