import { renderStatus } from '../../../lib/cli/render-status.ts'
import { SlotpoolError } from '../../../lib/errors.ts'
import type { PoolStatus } from '../../../lib/pool/pool-status.ts'
import type { Attempt } from '../attempt.ts'

/**
 * Writes sequences that a terminal obeys into what a person reads: they retitle windows, hide lines, or type. What a command wrote belongs
 * to whoever asked for it; what slotpool says itself, of names and reasons that a tenant chose, is to be harmless.
 */
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

const hostile = ['\u001b]0;title\u0007', '\u001b[2J', '\u009b2J', '\u202egnp.exe', '\rstart', '\u0008\u0008']

export const attempts: Attempt[] = [
  {
    name: 'sequences in the name of a task, shown by status',
    escape: async ({ neighbour }) => {
      // What a name may be is decided where it is leased; what is printed, where it is rendered.
      const status: PoolStatus = {
        pool: 'p',
        backend: 'local',
        isolation: 'jail',
        network: 'none',
        containers: [
          {
            id: 'c',
            node: 'n',
            state: 'ready',
            reason: hostile.join(' '),
            slots: hostile.map((text, slot) => ({
              slot,
              state: 'leased',
              task_id: `${neighbour.taskId}${text}`,
              lease_id: 'l',
              expires_at: null,
            })),
          },
        ],
        totals: { containers: 1, slots: hostile.length, leased: hostile.length, idle: 0 },
      } as unknown as PoolStatus
      const found = obeyed.exec(renderStatus(status).replaceAll('\n', ''))
      return found && `status prints ${JSON.stringify(found[0])} as it is`
    },
    control: async () => `${obeyed.exec(hostile.join(''))?.[0] ? 'such sequences are found' : ''}` || null,
  },
  {
    name: 'sequences in the reason of an error',
    escape: async ({ attacker }) => {
      const said: string[] = []
      for (const text of hostile) {
        const work = [
          () => attacker.files.read(`${text}/x`),
          () => attacker.exec('true', { cwd: `/nonexistent${text}` }),
          () => attacker.files.remove(`missing${text}`),
        ]
        for (const one of work) {
          const error = await one().catch((thrown: unknown) => thrown)
          // It is what the CLI prints for it; the details go out as JSON, which escapes.
          if (error instanceof SlotpoolError) said.push(error.message.replaceAll('\n', ' '))
        }
      }
      if (said.length === 0) throw new Error('nothing was refused')
      const found = said.find((one) => obeyed.test(one))
      return found === undefined ? null : `an error says ${JSON.stringify(found)}`
    },
    control: async () => `${obeyed.exec(hostile.join(''))?.[0] ? 'such sequences are found' : ''}` || null,
  },
]
