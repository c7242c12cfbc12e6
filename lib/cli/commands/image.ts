import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { loadConfig } from '../../config.ts'
import { runCli } from '../context.ts'
import { notice, writeStdout } from '../output.ts'
import { poolOptionsOf, withPoolOptions } from '../pool-options.ts'
import { imageStoreCommands } from './image-store.ts'

interface BuildArguments {
  base?: string | undefined
  tag?: string | undefined
}

const buildCommand: CommandModule<object, BuildArguments> = {
  command: 'build',
  describe: 'build the image whose containers serve slots',
  builder: (yargs) =>
    withPoolOptions(yargs).options({
      base: { type: 'string', requiresArg: true, describe: 'a Debian-based image with Node 20.19 or later' },
      tag: { type: 'string', requiresArg: true, describe: 'the name of the image (TERMINAL_TOOLS_IMAGE, else TERMINAL_NOMAD_IMAGE)' },
    }),
  handler: build,
}

async function build(args: ArgumentsCamelCase<BuildArguments>): Promise<void> {
  await runCli(false, async ({ signal }) => {
    const { image, toolsImage } = loadConfig(poolOptionsOf(args))
    const tag = args.tag ?? toolsImage ?? image
    const { buildImage } = await import('../../backend/docker/image-build.ts')
    const built = await buildImage({
      tag,
      signal,
      ...(args.base === undefined ? {} : { baseImage: args.base }),
      onProgress: ({ step, steps, instruction, line }) => notice(line ?? `[${step}/${steps}] ${instruction}`),
    })
    notice(`slotpool: built ${built.tag}`)
    await writeStdout(`${built.imageId}\n`)
    return 0
  })
}

/** `slotpool image`: the images that containers are made of. */
export const imageCommand: CommandModule = {
  command: 'image',
  describe: 'images of containers',
  builder: (yargs) =>
    imageStoreCommands
      .reduce((all, command) => all.command(command), yargs.command(buildCommand))
      .demandCommand(1, 1, 'expected an image COMMAND'),
  handler: () => {},
}
