# The job that slotpool registers for the pool "default" with TERMINAL_NOMAD_DRIVER=singularity, as one would write it by hand: Apptainer in a task
# of Nomad's driver raw_exec, which is off unless a client's configuration has
#
#   plugin "raw_exec" {
#     config {
#       enabled = true
#     }
#   }
#
# slotpool makes its own through Nomad's API; this is for reading, and for policies and quotas that have to fit it. To run it by hand, make the
# image and the token first:
#
#   slotpool image build --driver singularity --tag /opt/slotpool/sandbox-0.1.sif      # on every client
#   nomad var put nomad/jobs/slotpool-default token="$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')"
#   nomad job run nomad/sandbox-singularity.nomad.hcl

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
      slotpool_driver    = "singularity"
      slotpool_image     = "/opt/slotpool/sandbox-0.1.sif"
      slotpool_slots     = "10"
      slotpool_isolation = "auto"
      slotpool_network   = "outbound"
      slotpool_terms     = "{\"limits\":{},\"networkAllow\":[],\"mounts\":[],\"drainMs\":20000}"
    }

    network {
      port "http" {}
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
      driver = "raw_exec"

      kill_signal  = "SIGTERM"
      kill_timeout = "50s"

      config {
        command = "/bin/sh"
        args = [
          # It looks at what the node has and becomes Apptainer, with the words after it as the last ones of "apptainer exec".
          "-c", <<-SCRIPT
              set -eu
              node=$1 image=$2
              shift 2

              # fail CODE MESSAGE
              fail() {
                message=$(printf %s "$2" | tr -d '\000-\037' | sed 's/[\"]/\\&/g')
                printf 'slotpool-error: {"code":"%s","message":"%s","retryable":false}\n' "$1" "$message" >&2
                exit 1
              }

              program=$(command -v apptainer || command -v singularity || true)
              if [ -z "$program" ]; then
                fail NOMAD_TASK_FAILED "node $node has neither apptainer nor singularity on the PATH of its Nomad agent, which is $PATH; expected one of them on every node that the pool may use"
              fi
              case $image in
              /*)
                if [ ! -r "$image" ]; then
                  fail IMAGE_NOT_FOUND "node $node has no image $image that its Nomad agent may read; expected that file on every node that the pool may use (slotpool image build --driver singularity makes it)"
                fi
                ;;
              esac

              # Of what Apptainer gives to root, that which this root does not have.
              if [ "$(id -u)" -eq 0 ]; then
                bounding=$(sed -n 's/^CapBnd:[^0-9a-f]*//p' /proc/self/status)
                last=$(cat /proc/sys/kernel/cap_last_cap)
                number=0 lacking= comma=
                for name in CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE; do
                  if [ "$number" -le "$last" ] && [ $((0x$bounding >> number & 1)) -eq 0 ]; then lacking=$lacking$comma'CAP_'$name comma=,; fi
                  number=$((number + 1))
                done
                if [ -n "$lacking" ]; then set -- --drop-caps "$lacking" "$@"; fi
              fi

              # What jails are made with, where the node has it: a device that Apptainer leaves out, one for networks, and control groups.
              for path in /dev/full /dev/net/tun /sys/fs/cgroup; do
                if [ -e "$path" ]; then set -- --bind "$path" "$@"; fi
              done

              mkdir -p "$NOMAD_TASK_DIR/slotpool"
              set -- --bind "$NOMAD_TASK_DIR/slotpool:/var/lib/slotpool" --bind "$NOMAD_SECRETS_DIR/token:/run/slotpool/token:ro" "$@"
              set -- --bind "$NOMAD_SECRETS_DIR/image.json:/run/slotpool/image.json:ro" "$@"
              set -- --env TINI_SUBREAPER=1 --env "NOMAD_IP_http=$NOMAD_IP_http" --env "NOMAD_HOST_IP_http=$NOMAD_HOST_IP_http" "$@"
              set -- "$program" --quiet exec --containall --no-home --pwd / "$@"
              # For what it unpacks: this goes with the allocation.
              set -- "APPTAINER_TMPDIR=$NOMAD_ALLOC_DIR/tmp" "SINGULARITY_TMPDIR=$NOMAD_ALLOC_DIR/tmp" "$@"
              if [ -n "$(printenv HOME)" ]; then set -- "HOME=$HOME" "$@"; fi
              exec env -i "PATH=$PATH" "$@"
            SCRIPT
          ,
          "sh", "${node.unique.name}", "/opt/slotpool/sandbox-0.1.sif", "/opt/slotpool/sandbox-0.1.sif",
          # Apptainer leaves an end of a pipe of its own open, which the server would hand on to every command.
          "bash", "--norc", "-c", "cd /proc/$$/fd; for fd in *; do if ((fd > 2)); then eval \"exec $fd>&-\"; fi; done; cd /; exec \"$@\"", "bash",
          "/usr/bin/tini", "--", "node", "/opt/slotpool/sandbox-server.js",
          "--listen", "tcp:${NOMAD_IP_http}:${NOMAD_PORT_http}",
          "--token-file", "/run/slotpool/token",
          "--state-dir", "/var/lib/slotpool",
          "--server-network", "machine",
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
        data        = "{\"reference\":\"/opt/slotpool/sandbox-0.1.sif\"}"
        destination = "secrets/image.json"
        perms       = "0400"
        change_mode = "noop"
      }

      resources {
        cpu    = 100
        memory = 512
        # What the container may grow to. It counts where the cluster's oversubscription of memory is on; else what is reserved is the end.
        memory_max = 10752
      }
    }
  }
}
