// All that a page loads before a click: the picture, a button, and the handle for programs. The rest comes when one of them is used.
import { el } from './el.js'
import css from './stub.css'


const fetched = async (url, how) => { const r = await fetch(url); if (!r.ok) throw new Error(`${url.pathname} is missing (${r.status})`); return r[how]() }

class Live extends HTMLElement {
  constructor() {
    super()
    this.ready = new Promise((resolve, reject) => { this._open = { resolve, reject } }) // the opened element
    this.ready.catch(() => {})
  }

  connectedCallback() {
    if (this.root) return
    this.root = this.attachShadow({ mode: 'open' })
    const open = () => this.start()
    this._button = el('button', { className: 'start', textContent: this.invitation, onclick: open })
    this.root.append(el('style', { textContent: css }), el('div', { className: 'cover' }, el('div', { className: 'picture', onclick: open }, el('slot', {})), this._button))
    if (this.hasAttribute('open')) this.start()
  }

  get module() { return 'live-app.js' } // what a click loads
  get bytes() { return true }            // and whether the engine's own form of the document lies beside it
  get address() { return new URL(this.getAttribute('src'), document.baseURI) }

  _cover(on) { this.root.querySelector('.cover').classList.toggle('open', !on) } // on paper the picture comes back
  start() { this._started ??= this._start(); return this.ready }

  async _start() {
    const pressed = this.root.activeElement === this._button // then the reader goes on inside; else the focus is not taken
    this._button.textContent = 'Opening …'
    this._button.disabled = true
    try {
      const bytes = this.bytes ? fetched(new URL(this.address.href.replace(/\.json$/, '.bin')), 'arrayBuffer').then(b => new Uint8Array(b), () => null) : null
      const [doc, app] = await Promise.all([fetched(this.address, 'json'), import(new URL(this.module, import.meta.url))])
      Object.setPrototypeOf(this, app[this.opened].prototype)
      await this.load(doc, await bytes)
      if (pressed && [document.body, this].includes(document.activeElement)) this._enter().focus({ preventScroll: true })
      this._open.resolve(this)
    } catch (e) {
      this._button.textContent = `It could not be opened: ${e.message}. Reload the page to try again.`
      this.root.querySelector('.app')?.remove() // a sheet that computes nothing: its picture comes back
      this._cover(true)
      this._open.reject(e)
    }
  }
}

// element.get('A1'), element.set('A1', '0.5'), element.inputs(): each opens the element first, and then is the opened element's own
const later = (kind, names) => { for (const name of names) kind.prototype[name] = async function (...args) { await this.start(); return this[name](...args) } }

export class LiveSheet extends Live {
  get invitation() { return 'Open the live sheet' }
  get opened() { return 'OpenSheet' }
}
later(LiveSheet, ['get', 'getMany', 'set', 'setMany', 'inputs', 'formulas', 'undo', 'reset', 'recalculate'])

export class DigitReader extends Live {
  get invitation() { return 'Start drawing' }
  get opened() { return 'OpenReader' }
  open() { return this.start() }
}
later(DigitReader, ['get', 'set', 'setMany', 'inputs', 'clear'])

export class LiveFigure extends Live {
  get invitation() { return 'Move it yourself' }
  get opened() { return 'OpenFigure' }
  get module() { return 'live-figure.js' }
  get bytes() { return false }
}
later(LiveFigure, ['get', 'set', 'inputs'])

if (!customElements.get('live-sheet')) {
  customElements.define('live-sheet', LiveSheet)
  customElements.define('digit-reader', DigitReader)
  customElements.define('live-figure', LiveFigure)
}
