import { defaultImage } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { tryParseReference } from '../registry/image-reference.ts'

/** `IMAGE_NOT_FOUND`, with a command that gets the image. */
export function imageNotFound(image: string, cause?: unknown): SlotpoolError {
  // What has no registry in its name would be looked for where anybody may have put something of that name.
  const [expected, command] =
    image === defaultImage
      ? ['expected it to have been made once', 'slotpool image build']
      : tryParseReference(image)?.namesHost
        ? ['expected one that it has', `docker pull ${image}`]
        : ['expected one that it has, or a name that says its registry (HOST/NAME:TAG)', `slotpool image build --tag ${image}`]
  return new SlotpoolError('IMAGE_NOT_FOUND', `got image ${image}, which the Docker engine does not have; ${expected}: ${command}`, {
    cause,
    details: { image, command },
  })
}
