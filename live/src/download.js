// The original workbook with the edited inputs and the results that the page shows; whatever opens it may recalculate them.
import { unzipSync, zipSync, strFromU8, strToU8 } from 'fflate'

const xml = text => new DOMParser().parseFromString(text, 'application/xml')

function partOf(files, sheet) { // the file of a sheet, by its name
  const book = xml(strFromU8(files['xl/workbook.xml'])), links = xml(strFromU8(files['xl/_rels/workbook.xml.rels']))
  const id = [...book.getElementsByTagName('sheet')].find(s => s.getAttribute('name') === sheet).getAttribute('r:id')
  const target = [...links.getElementsByTagName('Relationship')].find(r => r.getAttribute('Id') === id).getAttribute('Target')
  return target.startsWith('/') ? target.slice(1) : 'xl/' + target
}

function write(cell, text) { // a word into a cell, in the cell itself and not in the shared list
  const part = name => cell.ownerDocument.createElementNS(cell.namespaceURI, name)
  const t = part('t'), is = part('is')
  t.textContent = text
  is.append(t)
  cell.replaceChildren(is)
  cell.setAttribute('t', 'inlineStr')
}

function remember(cell, value) { // the result of a formula, as its cell keeps it; none where it is not known
  cell.querySelector('v')?.remove()
  cell.removeAttribute('t')
  if (value === undefined) return
  const v = cell.appendChild(cell.ownerDocument.createElementNS(cell.namespaceURI, 'v'))
  v.textContent = String(value)
  if (typeof value === 'string') cell.setAttribute('t', value.startsWith('#') ? 'e' : 'str')
}

function forget(files, part) { // what another sheet remembers of this one
  const doc = xml(strFromU8(files[part]))
  for (const f of doc.getElementsByTagName('f')) if (f.textContent.includes('!')) remember(f.parentNode)
  files[part] = strToU8(new XMLSerializer().serializeToString(doc))
}

export async function edited(buffer, sheet, changes, results) { // changes and results of formulas: [['A1', 0.5], …]
  const files = unzipSync(new Uint8Array(buffer)), part = partOf(files, sheet), doc = xml(strFromU8(files[part]))
  const cells = new Map([...doc.getElementsByTagName('c')].map(c => [c.getAttribute('r'), c]))
  for (const [at, value] of changes) typeof value === 'number' ? cells.get(at).getElementsByTagName('v')[0].textContent = String(value) : write(cells.get(at), value.slice(1))
  for (const [at, value] of results) remember(cells.get(at), value)
  files[part] = strToU8(new XMLSerializer().serializeToString(doc))
  for (const other in files) if (/^xl\/worksheets\/[^/]+\.xml$/.test(other) && other !== part) forget(files, other)
  const book = xml(strFromU8(files['xl/workbook.xml']))
  let calc = book.getElementsByTagName('calcPr')[0]
  if (!calc) calc = book.documentElement.appendChild(book.createElementNS(book.documentElement.namespaceURI, 'calcPr'))
  calc.setAttribute('fullCalcOnLoad', '1')
  files['xl/workbook.xml'] = strToU8(new XMLSerializer().serializeToString(book))
  return zipSync(files, { level: 6 })
}
