import type { CommandModule } from 'yargs'
import type { ImageInfo, Registry, TransferOptions } from '../../backend/registry/registry.ts'
import { loadConfig } from '../../config.ts'
import { runCli } from '../context.ts'
import type { Interrupt } from '../interrupt.ts'
import { notice, writeStdout } from '../output.ts'
import { poolOptionsOf, withPoolOptions } from '../pool-options.ts'
import { printable } from '../printable.ts'
import { TransferLine } from '../transfer-line.ts'

const plainHttp = {
  type: 'boolean',
  default: false,
  describe: 'speak HTTP without TLS to a registry that is not on this machine',
} as const
const reference = {
  type: 'string',
  demandOption: true,
  describe: 'an image: [HOST[:PORT]/]NAME[:TAG][@DIGEST], or the path of a .sif file',
} as const

const listCommand: CommandModule<object, { json: boolean }> = {
  command: 'list',
  aliases: ['ls'],
  describe: 'list the images of the backend',
  builder: (yargs) =>
    withPoolOptions(yargs).option('json', { type: 'boolean', default: false, describe: 'print JSON, with digests and sizes' }),
  handler: (args) =>
    withRegistry(args, args.json, async (registry, { signal }) => {
      const names = await registry.list(signal)
      if (args.json) {
        const images = []
        for (const name of names) images.push({ reference: name, ...digestJson(await registry.resolve(name, signal)) })
        await writeStdout(`${JSON.stringify(images)}\n`)
      } else if (names.length === 0) notice(`slotpool: there are no images in ${registry.place}`)
      else await writeStdout(names.map((name) => `${printable(name)}\n`).join(''))
    }),
}

const inspectCommand: CommandModule<object, { reference: string }> = {
  command: 'inspect <reference>',
  describe: 'print as JSON what is known of an image',
  builder: (yargs) => withPoolOptions(yargs).positional('reference', reference),
  handler: (args) =>
    withRegistry(args, false, async (registry, { signal }) => {
      await writeStdout(`${JSON.stringify(infoJson(await registry.inspect(args.reference, signal)), null, 2)}\n`)
    }),
}

const pullCommand: CommandModule<object, { reference: string; plainHttp: boolean }> = {
  command: 'pull <reference>',
  describe: 'get an image from the registry that its name says, and print its digest',
  builder: (yargs) => withPoolOptions(yargs).positional('reference', reference).option('plain-http', plainHttp) as never,
  handler: (args) =>
    withRegistry(args, false, async (registry, { signal }) => {
      const { digest } = await transferring(`pulling ${args.reference}`, { signal, plainHttp: args.plainHttp }, (options) =>
        registry.pull(args.reference, options),
      )
      await writeStdout(`${digest}\n`)
    }),
}

const pushCommand: CommandModule<object, { reference: string; remote?: string | undefined; plainHttp: boolean }> = {
  command: 'push <reference> [remote]',
  describe: 'send an image to the registry that its name, or REMOTE, says, and print the digest that it has there',
  builder: (yargs) =>
    withPoolOptions(yargs)
      .positional('reference', reference)
      .positional('remote', { type: 'string', describe: 'the name that it is to have there' })
      .option('plain-http', plainHttp) as never,
  handler: (args) =>
    withRegistry(args, false, async (registry, { signal }) => {
      const remote = args.remote ?? args.reference
      const { digest } = await transferring(`pushing ${remote}`, { signal, plainHttp: args.plainHttp }, (options) =>
        registry.push(args.reference, remote, options),
      )
      await writeStdout(`${digest}\n`)
    }),
}

const tagCommand: CommandModule<object, { source: string; target: string }> = {
  command: 'tag <source> <target>',
  describe: 'give an image another name',
  builder: (yargs) =>
    withPoolOptions(yargs)
      .positional('source', reference)
      .positional('target', { ...reference, describe: 'its new name' }),
  handler: (args) => withRegistry(args, false, (registry, { signal }) => registry.tag(args.source, args.target, signal)),
}

const removeCommand: CommandModule<object, { reference: string }> = {
  command: 'rm <reference>',
  describe: 'take a name of an image away, and with its last name the image',
  builder: (yargs) => withPoolOptions(yargs).positional('reference', reference),
  handler: (args) => withRegistry(args, false, (registry, { signal }) => registry.remove(args.reference, signal)),
}

/** What is done with the images of the backend. */
export const imageStoreCommands: readonly CommandModule[] = [
  listCommand,
  inspectCommand,
  pullCommand,
  pushCommand,
  tagCommand,
  removeCommand,
] as unknown as CommandModule[]

async function withRegistry(args: object, json: boolean, work: (registry: Registry, interrupt: Interrupt) => Promise<void>): Promise<void> {
  await runCli(json, async (interrupt) => {
    const { openRegistry } = await import('../../backend/open-backend.ts')
    await work(await openRegistry(loadConfig(poolOptionsOf(args)), notice, interrupt.signal), interrupt)
    return 0
  })
}

async function transferring<T>(doing: string, options: TransferOptions, transfer: (options: TransferOptions) => Promise<T>): Promise<T> {
  using line = new TransferLine(doing)
  return await transfer({ ...options, onProgress: (progress) => line.take(progress) })
}

function digestJson({ digest, mediaType, sizeBytes }: { digest: string; mediaType: string; sizeBytes: number }): object {
  return { digest, media_type: mediaType, size_bytes: sizeBytes }
}

function infoJson(info: ImageInfo): object {
  return {
    reference: info.reference,
    ...digestJson(info),
    created_at: info.createdAtMs === null ? null : new Date(info.createdAtMs).toISOString(),
    description: info.description,
    source: info.source,
    labels: info.labels,
    annotations: info.annotations,
    remote_digests: info.remoteDigests,
  }
}
