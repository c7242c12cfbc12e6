import { defaultImage } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'

/** `IMAGE_NOT_FOUND`, with the one command that gets the image. */
export function imageNotFound(image: string, cause?: unknown): SlotpoolError {
  const [expected, command] =
    image === defaultImage
      ? ['expected it to have been made once', 'slotpool image build']
      : ['expected one that it has', `docker pull ${image}`]
  return new SlotpoolError('IMAGE_NOT_FOUND', `got image ${image}, which the Docker engine does not have; ${expected}: ${command}`, {
    cause,
    details: { image, command },
  })
}
