import { z } from 'zod'

/** How far a build is: which step of how many, and a line of what that step prints. */
export interface BuildProgress {
  /** From 1; 0 before the first step. */
  step: number
  /** All steps of the Dockerfile; 0 before the first step. */
  steps: number
  /** The instruction of the step, such as `COPY sandbox-server.js /opt/slotpool/sandbox-server.js`. */
  instruction: string
  /** A line of output without its end, or null when the step begins. */
  line: string | null
}

const message = z.object({
  stream: z.string().optional(),
  status: z.string().optional(),
  id: z.string().optional(),
  error: z.string().optional(),
  aux: z.object({ ID: z.string().optional() }).optional(),
})
/** One message of the engine's build stream, which is JSON texts one after another. */
export type BuildMessage = z.infer<typeof message>

const stepLine = /^Step (\d+)\/(\d+) : (.*)$/s

/** Cuts the stream of a build into messages. */
export function buildMessages(stream: AsyncIterable<Buffer | string>): AsyncGenerator<BuildMessage> {
  return jsonMessages(stream, message)
}

/** Cuts a stream of the engine's into its messages, JSON texts one after another. */
export async function* jsonMessages<T>(stream: AsyncIterable<Buffer | string>, schema: z.ZodType<T>): AsyncGenerator<T> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stream) {
    text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield schema.parse(JSON.parse(line))
  }
  if (text.trim() !== '') yield schema.parse(JSON.parse(text))
}

/** Follows a build by its messages: the step it is at, that step's output, the error it ended with, the image it made. */
export class BuildFollower {
  step = 0
  steps = 0
  instruction = ''
  /** What the present step printed. */
  output: string[] = []
  error: string | undefined
  imageId: string | undefined
  readonly #onProgress: (progress: BuildProgress) => void

  constructor(onProgress: (progress: BuildProgress) => void) {
    this.#onProgress = onProgress
  }

  take(message: BuildMessage): void {
    if (message.error !== undefined) this.error = message.error.trim()
    if (message.aux?.ID !== undefined) this.imageId = message.aux.ID
    if (message.stream !== undefined) this.#takeText(message.stream)
    // Of the many messages of a pull, those of a layer's progress are for a bar, and are left out.
    else if (message.status !== undefined && message.id === undefined) this.#report(message.status)
  }

  #takeText(text: string): void {
    const begins = stepLine.exec(text.trimEnd())
    if (begins) {
      this.step = Number(begins[1])
      this.steps = Number(begins[2])
      this.instruction = begins[3] as string
      this.output = []
      this.#report(null)
    } else for (const line of text.split('\n')) if (line.trim() !== '') this.#report(line.trimEnd())
  }

  #report(line: string | null): void {
    if (line !== null) this.output.push(line)
    this.#onProgress({ step: this.step, steps: this.steps, instruction: this.instruction, line })
  }
}
