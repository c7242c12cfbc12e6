import type { PlaceName } from '../faults.ts'
import { scriptedCommands } from '../scripted-command.ts'
import type { TaskPlan } from '../task-plan.ts'
import { DockerPlace } from './docker-place.ts'
import { FakePlace } from './fake-place.ts'
import { LocalPlace } from './local-place.ts'
import { NomadPlace } from './nomad-place.ts'
import type { Place, PlaceOptions } from './place.ts'

/** The place of that name. Where commands are scripted, they are those of `work`. */
export function makePlace(name: PlaceName, options: PlaceOptions, work: { plans: readonly TaskPlan[]; ledger: string }): Place {
  switch (name) {
    case 'fake':
      return new FakePlace(options, scriptedCommands(work.plans, work.ledger))
    case 'local':
      return new LocalPlace(options)
    case 'docker':
      return new DockerPlace(options)
    case 'nomad':
      return new NomadPlace(options)
  }
}
