// Draw on the inputs of a sheet with the mouse: the first cell of a stroke says whether it inks or rubs out.
import { Batch, inside, isInput } from './cells.js'

export function drawable(sheet, canvas) { // an opened sheet, and the area to draw on
  const batch = new Batch(entries => sheet.setMany(entries)), grid = sheet.grid.element
  let drawing = false, ink = null
  sheet.box.classList.add('paintable')
  grid.addEventListener('pointerdown', e => { drawing = e.pointerType === 'mouse' && e.button === 0 && !e.shiftKey; ink = null })
  grid.addEventListener('pointermove', e => {
    const cell = drawing && e.buttons === 1 && sheet.cells.get(sheet._under(e))
    if (!cell || !isInput(cell) || !inside(canvas, cell[0], cell[1])) return
    const at = sheet._under(e), now = batch.next[at] ?? sheet.values.get(at)
    ink ??= now > .5 ? 0 : 1
    if (now !== ink) batch.add({ [at]: ink })
  })
  window.addEventListener('pointerup', () => { drawing = false })
}
