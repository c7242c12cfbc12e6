/**
 * What root may do in its own slot: of the capabilities that Docker leaves to a container (moby, `oci/caps/defaults.go`) those that matter
 * without a device or a network interface of one's own, by their numbers (linux/capability.h). They hold in the slot's user namespace, which
 * owns nothing but the slot.
 */
const slotCapabilities = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_BIND_SERVICE: 10,
  CAP_SYS_CHROOT: 18,
  CAP_SETFCAP: 31,
} as const

export const slotCapabilityNumbers: readonly number[] = Object.values(slotCapabilities)
