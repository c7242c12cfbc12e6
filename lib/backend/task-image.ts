import type { Config } from '../config.ts'
import { SlotpoolError } from '../errors.ts'

/**
 * Refuses what slots of an image cannot have whose server comes from elsewhere: it has a root filesystem of its own, which commands share with it
 * where they have none of theirs.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID`.
 */
export function refuseSharedSystem({ toolsImage, isolation }: Pick<Config, 'toolsImage' | 'isolation'>): void {
  if (toolsImage === undefined || isolation === 'auto' || isolation === 'jail') return
  throw new SlotpoolError(
    'CONFIG_INVALID',
    `TERMINAL_ISOLATION: got ${isolation}, expected auto or jail beside TERMINAL_TOOLS_IMAGE: without a jail commands would see the system of the sandbox server, not the image`,
    { details: { variable: 'TERMINAL_ISOLATION', got: isolation, expected: 'auto or jail' } },
  )
}
