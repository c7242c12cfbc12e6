import { ControlGroups } from '../../../lib/sandbox/limits/control-groups.ts'
import { joined, nextLine } from './joined.ts'

/** A server that makes groups, starts something in them and waits to be killed. Prints the groups' files and the process. */
const root = process.argv[2]
const opened = await ControlGroups.open(root === undefined ? {} : { root })
if ('reason' in opened) throw new Error(opened.reason)
const slot = await opened.groups.slot(0, {})
const execution = await slot.execution()
const child = joined(execution.joinFiles, 'sleep 1000 & echo begun; wait')
await nextLine(child)
process.stdout.write(`${JSON.stringify({ files: [...slot.joinFiles, ...execution.joinFiles], pids: await execution.members() })}\n`)
process.stdin.resume()
