import type { ArgumentsCamelCase, CommandModule } from 'yargs'
import { defaultSif, driverNames, loadConfig, type NomadDriver } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { runCli } from '../context.ts'
import { notice, writeStdout } from '../output.ts'
import { poolOptionsOf, withPoolOptions } from '../pool-options.ts'
import { imageStoreCommands } from './image-store.ts'

interface BuildArguments {
  base?: string | undefined
  tag?: string | undefined
  driver?: NomadDriver | undefined
  from?: string | undefined
}

const buildCommand: CommandModule<object, BuildArguments> = {
  command: 'build',
  describe: 'build the image whose containers serve slots',
  builder: (yargs) =>
    withPoolOptions(yargs).options({
      base: { type: 'string', requiresArg: true, describe: 'a Debian-based image with Node 20.19 or later' },
      tag: {
        type: 'string',
        requiresArg: true,
        describe: 'the name of the image (TERMINAL_TOOLS_IMAGE, else TERMINAL_NOMAD_IMAGE), or the path of the .sif file',
      },
      driver: { choices: driverNames, requiresArg: true, describe: 'whose image it is: with singularity a SIF (TERMINAL_NOMAD_DRIVER)' },
      from: { type: 'string', requiresArg: true, describe: 'the image of the Docker engine that a SIF is made from, instead of a new one' },
    }),
  handler: build,
}

async function build(args: ArgumentsCamelCase<BuildArguments>): Promise<void> {
  await runCli(false, async ({ signal }) => {
    const { driver } = args
    const config = loadConfig({ ...poolOptionsOf(args), ...(driver && { nomad: { driver } }) })
    if (config.nomad.driver === 'singularity') {
      // A SIF is for Nomad, whatever backend this environment is set to.
      const path = args.tag ?? (config.given.has('image') ? config.image : defaultSif())
      const { buildSif } = await import('../../backend/apptainer/build-sif.ts')
      const built = await buildSif({
        path,
        signal,
        ...(args.base === undefined ? {} : { baseImage: args.base }),
        ...(args.from === undefined ? {} : { from: args.from }),
        onProgress: notice,
      })
      notice(`slotpool: built ${built.path}`)
      await writeStdout(`${built.path}\n`)
      return 0
    }
    if (args.from !== undefined) throw new SlotpoolError('USAGE', 'got --from, expected it with --driver singularity alone')
    const tag = args.tag ?? config.toolsImage ?? config.image
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
