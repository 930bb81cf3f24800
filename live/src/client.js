// The page's side of the worker: every task is a promise.
let worker, counter = 0
const waiting = new Map()

export function connect(makeWorker, wasm) {
  if (worker) return
  worker = makeWorker()
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    error === undefined ? resolve(result) : reject(new Error(error))
  }
  ask('start', { wasm })
}

export function disconnect() { worker.terminate(); worker = null }

export function ask(task, details) {
  const id = ++counter
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject })
    worker.postMessage({ id, task, ...details })
  })
}
