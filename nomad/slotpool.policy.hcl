# What a token needs for slotpool to manage its pools, where ACLs are on:
#
#   nomad acl policy apply slotpool nomad/slotpool.policy.hcl
#   nomad acl token create -name slotpool -policy slotpool      # its Secret ID goes into NOMAD_TOKEN
#
# For another namespace than "default", name it here and set NOMAD_NAMESPACE.

namespace "default" {
  capabilities = [
    # To make, grow and remove the pool's job, replace a container that died, and clean up after its allocations.
    "submit-job",
    # To find its containers, and to be told what becomes of them.
    "read-job",
    # To tell why a sandbox server could not start.
    "read-logs",
    # To remove one container that is not the highest, and to have those that are removed end at once.
    "alloc-lifecycle",
  ]

  variables {
    # The pool's token. The job reads it with an identity of its own.
    path "nomad/jobs/slotpool-*" {
      capabilities = ["list", "read", "write", "destroy"]
    }
  }
}
