import type { Readable } from 'node:stream'

/** How long a registry may say nothing before it is as good as gone. */
export interface Silence {
  /** Until its answer begins, or until it takes more of an upload. The end of a large upload takes it a while. */
  answerMs: number
  /** In the middle of an answer. */
  bodyMs: number
}

export const usualSilence: Silence = { answerMs: 120_000, bodyMs: 60_000 }

/** What a body gives, until it gives nothing for so long. It is not asked whether it ends by that: some streams wait for what they were asked for before. */
export async function* unlessSilent(body: Readable, limitMs: number): AsyncGenerator<Buffer> {
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let isOver = false
  try {
    for (;;) {
      const step = await withinTime(chunks.next(), limitMs)
      if (step.done) {
        isOver = true
        return
      }
      yield step.value
    }
  } finally {
    if (!isOver) body.destroy()
  }
}

async function withinTime<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const silent = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${limitMs} ms`)), limitMs)
  })
  try {
    return await Promise.race([work, silent])
  } finally {
    clearTimeout(timer)
  }
}
