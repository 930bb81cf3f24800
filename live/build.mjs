// Bundle the live sheets into a folder, and fill the engine with each document there: node build.mjs ../_docs/live [widget.js]
import { build } from 'esbuild'
import fs from 'node:fs'
import path from 'node:path'
import { start, fill } from './src/engine.js'

const out = path.resolve(process.argv[2] ?? 'dist'), here = import.meta.dirname
const wasm = path.join(here, 'node_modules/@ironcalc/wasm/wasm_bg.wasm')
const common = { bundle: true, minify: true, format: 'esm', target: 'es2022', loader: { '.css': 'text' }, logLevel: 'warning', legalComments: 'none' }
// the app uses the very classes that the page has registered
const shared = { name: 'shared', setup: b => b.onResolve({ filter: /stub\.js$/ }, () => ({ path: './live-sheet.js', external: true })) }
const shipped = new Set() // names of the packages that end up in a bundle

const INSIDE = { 'd3-delaunay': ['delaunator', 'robust-predicates'] } // carried within another package's file

function licence(name) { // what its package says of itself; of the Apache License the text is this project's own
  const home = path.join(here, 'node_modules', name), { version, license } = JSON.parse(fs.readFileSync(path.join(home, 'package.json')))
  const files = fs.readdirSync(home).filter(f => /^(licen[cs]e|copying|notice)/i.test(f)).sort()
  if (!files.length && /Apache-2\.0/.test(license)) return { name, version, license, text: fs.readFileSync(path.join(here, '../LICENSE'), 'utf8') }
  return { name, version, license, text: files.map(f => fs.readFileSync(path.join(home, f), 'utf8')).join('\n\n') }
}

fs.mkdirSync(out, { recursive: true })
for (const [name, file] of Object.entries({ stub: 'live-sheet', app: 'live-app', figure: 'live-figure', worker: 'worker' })) {
  const plugins = ['app', 'figure'].includes(name) ? [shared] : []
  const { metafile } = await build({ ...common, metafile: true, entryPoints: [path.join(here, `src/${name}.js`)], outfile: path.join(out, `${file}.js`), plugins })
  for (const input of Object.keys(metafile.inputs)) shipped.add(/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(input)?.[1])
}
for (const [home, names] of Object.entries(INSIDE)) if (shipped.has(home)) names.forEach(n => shipped.add(n))
fs.writeFileSync(path.join(out, 'licences.json'), JSON.stringify([...shipped].filter(Boolean).sort().map(licence)))
if (process.argv[3]) { // the notebook's widget, in one file
  const worker = await build({ ...common, entryPoints: [path.join(here, 'src/worker.js')], write: false })
  const virtual = { name: 'worker', setup: b => {
    b.onResolve({ filter: /^virtual:worker$/ }, () => ({ path: 'worker', namespace: 'text' }))
    b.onLoad({ filter: /.*/, namespace: 'text' }, () => ({ contents: worker.outputFiles[0].text, loader: 'text' }))
  } }
  await build({ ...common, loader: { ...common.loader, '.wasm': 'binary' }, plugins: [virtual], entryPoints: [path.join(here, 'src/widget.js')], outfile: path.resolve(process.argv[3]) })
}
fs.copyFileSync(wasm, path.join(out, 'ironcalc.wasm'))
await start(fs.readFileSync(wasm))
for (const file of fs.readdirSync(out).filter(f => f.endsWith('.json'))) {
  const doc = JSON.parse(fs.readFileSync(path.join(out, file)))
  if (doc.version) fs.writeFileSync(path.join(out, file.replace(/json$/, 'bin')), fill(doc).toBytes())
}
