// The page's side of the worker: every task is a promise.
let worker, failed, counter = 0
const waiting = new Map()

export function connect(makeWorker, wasm) {
  if (worker) return
  failed = undefined
  worker = makeWorker()
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    error === undefined ? resolve(result) : reject(new Error(error))
  }
  worker.onerror = () => { // its script is missing or does not run
    failed = new Error('the engine could not be loaded')
    for (const { reject } of waiting.values()) reject(failed)
    waiting.clear()
  }
  ask('start', { wasm }).catch(() => {}) // each task that waits for it tells the reader
}

export function disconnect() { worker.terminate(); worker = null }

export function ask(task, details) {
  if (failed) return Promise.reject(failed)
  const id = ++counter
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject })
    worker.postMessage({ id, task, ...details })
  })
}
