/**
 * What root may do in its own slot: of the capabilities that Docker leaves to a container (moby, `oci/caps/defaults.go`) those that matter
 * without a device or a network interface of one's own. They hold in the slot's user namespace, which owns nothing but the slot.
 */
export const slotCapabilities: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_SETFCAP',
  'CAP_SYS_CHROOT',
  'CAP_NET_BIND_SERVICE',
]
