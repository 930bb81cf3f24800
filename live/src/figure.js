// Loaded when a reader opens a figure: Vega draws the description that the book saved, with the browser's own sliders and lists.
import { parse, View, Error as ERRORS } from 'vega'
import { typed } from './cells.js'
import { LiveFigure } from './stub.js'
import { el } from './el.js'
import css from './figure.css'

const quiet = part => { part.aria = false; for (const k of ['marks', 'axes']) part[k]?.forEach(quiet); if (part.title?.text) part.title.aria = false } // not a thousand squares, one picture
const NARROW = 560 // below that, the pictures of a figure stand under each other

export class OpenFigure extends LiveFigure {
  async load(spec) {
    const narrow = this.clientWidth < NARROW
    if (narrow) spec.layout.columns = 1
    spec.marks.forEach(quiet)
    const picture = el('div', { className: 'plot' }), inputs = el('div', { className: 'inputs' })
    this.said = el('p', { className: 'said' })
    this.said.setAttribute('role', 'status')
    this.binds = new Map(spec.signals.filter(s => s.bind).map(s => [s.name, s.bind]))
    this.view = new View(parse(spec), { renderer: 'svg', container: picture, bind: inputs, hover: false, logLevel: ERRORS })
    this.root.append(el('style', { textContent: css }), el('div', { className: narrow ? 'app narrow' : 'app' }, inputs, picture, this.said))
    await this.view.runAsync()
    this._name(picture)
    this._cover(false)
    if (picture.scrollWidth > picture.clientWidth + 1) picture.tabIndex = 0 // it scrolls: a keyboard must reach it
    this.view.addSignalListener('said', () => this._tell())
    this._tell()
    this._watchTheme()
  }

  _enter() { return this.root.querySelector('input, select') ?? this }

  // what programs and readers with a console use
  async get(name) { return this.view.signal(name) }
  async set(name, value) { await this.view.signal(name, this._meant(name, value)).runAsync() }
  async inputs() { return [...this.binds.keys()] }
  _meant(name, value) { // what the reader's own slider or list could say
    const bind = this.binds.get(name)
    if (!bind) throw new Error(`${name} is not an input of this figure: ${[...this.binds.keys()].join(', ')}`)
    if (bind.options && !bind.options.includes(value)) throw new Error(`${name} is one of ${bind.options.slice(0, 12).join(', ')}`)
    if (bind.input !== 'range') return value
    const { min, max, step } = bind, number = typeof value === 'string' ? typed(value) : value, whole = Number.isInteger(step)
    if (!(number >= min && number <= max) || whole && !Number.isInteger(number)) throw new Error(`${name} is a ${whole ? 'whole ' : ''}number from ${min} to ${max}`)
    return number
  }

  _name(picture) { // one picture with a name, for screen readers; the line below says what it shows
    for (const a of ['role', 'aria-roledescription', 'aria-label']) picture.removeAttribute(a)
    const svg = picture.querySelector('svg')
    svg.setAttribute('role', 'img')
    svg.setAttribute('aria-label', this.querySelector('img')?.alt || 'figure')
  }

  _tell() { const text = this.view.signal('said'); if (this.said.textContent !== text) this.said.textContent = text }

  _watchTheme() {
    const look = () => {
      const dark = document.documentElement.dataset.bsTheme === 'dark'
      this.classList.toggle('dark', dark)
      const [ink, paper, line] = dark ? ['#e4e4e7', '#26292f', '#3f434b'] : ['#18181b', '#ffffff', '#d4d4d8']
      this.view.signal('ink', ink).signal('paper', paper).signal('line', line).runAsync()
    }
    look()
    new MutationObserver(look).observe(document.documentElement, { attributes: true, attributeFilter: ['data-bs-theme'] })
  }
}
