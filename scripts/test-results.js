// What the assertions of the test files came to, counted one by one.
import { inspect } from 'node:util'

export class TestResults {
  passed = 0
  failed = 0
  skipped = 0
  #skips = new Set()
  #failures = []

  /** `onFail` hears of each that fails as soon as it has. */
  constructor(onFail) {
    this.onFail = onFail
  }

  /** Counts what a parser of TAP hears, that of nested tests one by one and never a test that only sums others up. */
  count(parser, path) {
    let childOk
    parser.on('child', (child) => {
      this.count(child, [...path, child.name])
      child.on('complete', (results) => {
        childOk = results.ok
      })
    })
    parser.on('assert', (result) => {
      const closes = childOk !== undefined
      // The point that closes a subtest comes after it; it says something new only where the subtest itself saw nothing wrong.
      const saidBefore = closes && result.ok === childOk
      childOk = undefined
      if (saidBefore) return
      if (result.skip) {
        this.skipped++
        this.#skips.add(typeof result.skip === 'string' ? result.skip : result.name)
      } else if (result.ok || result.todo) this.passed++
      else this.fail([...path, result.name], result.diag)
    })
  }

  /** One more that failed, and why. */
  fail(path, diagnostic) {
    this.failed++
    this.#failures.push({ path, diagnostic })
    this.onFail(path)
  }

  /** For whoever reads the end of a log alone. The last line is the sum. */
  *lines() {
    for (const { path, diagnostic } of this.#failures)
      yield `failed: ${path.join(' > ')}\n${inspect(diagnostic, { depth: 6, maxStringLength: 2_000 })}`
    for (const reason of this.#skips) yield `skipped: ${reason}`
    yield `${this.passed} passed, ${this.failed} failed, ${this.skipped} skipped`
  }
}
