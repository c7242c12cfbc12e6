import { LinkedAbortController } from '../client/linked-abort-controller.ts'
import { turnOrAbort } from './waiting-line.ts'

interface Attempt {
  /** Resolves when there is nothing more of it, however it ended. */
  over: Promise<void>
  /** Resolves when it waits for somebody else, or is over. */
  waitsOrOver: Promise<void>
  waits: () => boolean
}

/** What a lease that is being had tells of itself. */
export interface AttemptNotes {
  /** There was no slot to be had at once. */
  onWait: () => void
  /** Takes work that goes on when the task has its lease, or gave up: what must be done before it is asked for again. */
  later: (work: Promise<void>) => void
}

/** The leases that callers in this process are getting: one attempt at a time for a task. */
export class LeaseAttempts {
  readonly #byTask = new Map<string, Attempt>()

  /**
   * Makes an attempt when no other for this task is under way. How long others wait for a slot is waited for until `deadline`; what takes no wait is
   * waited for, however little time there is: a slot that is there is had.
   *
   * @throws {SlotpoolError} `CANCELLED` when `signal`, or `deadline` while another waits, is aborted before; what `attempt` throws.
   */
  async one<T>(taskId: string, signal: AbortSignal, deadline: AbortSignal, attempt: (notes: AttemptNotes) => Promise<T>): Promise<T> {
    for (let other = this.#byTask.get(taskId); other; other = this.#byTask.get(taskId)) {
      await turnOrAbort(other.waitsOrOver, signal)
      using ending = new LinkedAbortController(signal, ...(other.waits() ? [deadline] : []))
      await turnOrAbort(other.over, ending.signal)
    }
    const behind: Promise<void>[] = []
    let waits = false
    let onWait = (): void => {}
    const waiting = new Promise<void>((resolve) => {
      onWait = () => {
        waits = true
        resolve()
      }
    })
    const result = attempt({ onWait, later: (work) => void behind.push(work) })
    const over = result
      .catch(() => {})
      .then(() => {
        waits = false
        return Promise.all(behind)
      })
      .then(() => void this.#byTask.delete(taskId))
    this.#byTask.set(taskId, { over, waitsOrOver: Promise.race([waiting, over]), waits: () => waits })
    return result
  }
}
