# The job that slotpool registers for the pool "default", as one would write it by hand. slotpool makes its own through
# Nomad's API; this is for reading, and for policies and quotas that have to fit it.
#
# To run it by hand, make the token first, or the task waits for it:
#
#   nomad var put nomad/jobs/slotpool-default token="$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')"
#   nomad job run nomad/sandbox.nomad.hcl

job "slotpool-default" {
  type        = "service"
  datacenters = ["*"]
  node_pool   = "default"

  meta {
    slotpool_pool = "default"
  }

  # No deployments: while one runs Nomad refuses to scale, and a group is never changed.
  update {
    max_parallel = 0
  }

  # A pool that is changed gets another group, sandbox-1, beside this one, which goes with the last of its containers.
  group "sandbox" {
    count = 1

    # What its containers are made with, for whoever finds the job later: slotpool refuses to join a pool of another shape.
    meta {
      slotpool_version   = "0.1.0"
      slotpool_driver    = "docker"
      slotpool_image     = "slotpool/sandbox:0.1"
      slotpool_slots     = "10"
      slotpool_isolation = "auto"
      slotpool_network   = "outbound"
      slotpool_terms     = "{\"limits\":{},\"networkAllow\":[],\"mounts\":[],\"drainMs\":20000}"
    }

    network {
      port "http" {
        to = 7780
      }
    }

    # A container that ended has lost its leases, so nothing may put another in its place unasked. slotpool asks, by an
    # evaluation with force-reschedule, and that needs a reschedule policy that is on: with a delay that never passes.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      unlimited      = true
      delay_function = "constant"
      delay          = "2400h"
    }

    task "sandbox-server" {
      driver = "docker"
      user   = "root"

      kill_signal  = "SIGTERM"
      kill_timeout = "50s"

      config {
        image              = "slotpool/sandbox:0.1"
        force_pull         = false
        image_pull_timeout = "30m"
        ports              = ["http"]
        entrypoint         = ["/usr/bin/tini", "--", "node", "/opt/slotpool/sandbox-server.js"]
        args = [
          "--listen", "tcp:0.0.0.0:7780",
          "--token-file", "${NOMAD_SECRETS_DIR}/token",
          "--state-dir", "${NOMAD_TASK_DIR}/slotpool",
          "--pool", "default",
          "--slots", "10",
          "--isolation", "auto",
          "--network", "outbound",
          "--limits", "{}",
          "--network-allow", "[]",
          "--mounts", "[]",
          "--system", "image",
          "--drain-ms", "20000",
        ]

        # The reservation below is what a node must have free; this is what the container may grow to.
        memory_hard_limit = 10752
        pids_limit        = 11264

        # For a jail of its own for each slot. Needs allow_caps in the client's docker plugin (see nomad-dev.hcl); without
        # these two lines --isolation uid works.
        cap_add      = ["sys_admin", "net_admin", "sys_ptrace"]
        security_opt = ["seccomp=unconfined", "apparmor=unconfined"]
      }

      # The pool's token, from the Nomad Variable under the job's own name, which the job may read without any policy.
      template {
        data        = "{{ with nomadVar \"nomad/jobs/slotpool-default\" }}{{ .token }}{{ end }}"
        destination = "secrets/token"
        perms       = "0400"
        change_mode = "noop"
      }

      # What every lease says that it ran in. With an image by its digest (IMAGE@sha256:…) that is in it, too.
      template {
        data        = "{\"reference\":\"slotpool/sandbox:0.1\"}"
        destination = "secrets/image.json"
        perms       = "0400"
        change_mode = "noop"
      }

      resources {
        cpu    = 100
        memory = 512
      }
    }
  }
}
