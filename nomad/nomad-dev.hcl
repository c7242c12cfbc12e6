# Nomad on one machine, for trying slotpool out and for its tests:
#
#   nomad agent -dev -config nomad/nomad-dev.hcl
#
# Not for a cluster: -dev keeps the state of the server in memory and forgets it when the agent ends.

# The API, RPC and gossip are for this machine alone.
bind_addr = "127.0.0.1"

# Don't ask HashiCorp whether there is a newer Nomad: a machine without a way out would only wait.
disable_update_check = true

# -dev would log every request.
log_level = "INFO"

# slotpool needs no UI, and a page of it would be one more thing that listens.
ui {
  enabled = false
}

# Metrics are collected every second by default and nobody here reads them.
telemetry {
  collection_interval        = "60s"
  publish_allocation_metrics = false
  publish_node_metrics       = false
}

server {
  default_scheduler_config {
    # A container may grow beyond what is kept free for it (memory_max). Docker's have a ceiling of their own; those of driver
    # singularity are else ended where they reach what is reserved.
    memory_oversubscription_enabled = true
  }
}

client {
  # Ports of containers are published on the address of this interface, so on loopback alone.
  network_interface = "lo"

  options = {
    # Looking for a cloud, Consul or Vault that is not there makes the agent slow to start, and one of them ends it when
    # AWS_CA_BUNDLE is set.
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault"
  }

  # Keep the folders of ended allocations only as long as nothing else wants the room: -dev has one small disk.
  gc_max_allocs = 20
}

plugin "docker" {
  config {
    # What Nomad allows by default, which is what Docker gives a container but for NET_RAW, and the capabilities with which
    # the sandbox server makes a jail for each slot: SYS_ADMIN for namespaces and mounts, NET_ADMIN for the network of its
    # own, SYS_PTRACE to see whose processes are whose. Without them TERMINAL_ISOLATION=uid still works.
    allow_caps = [
      "audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "net_bind_service", "setfcap", "setgid",
      "setpcap", "setuid", "sys_chroot", "sys_admin", "net_admin", "sys_ptrace",
    ]

    # The allocation's folder is a bind mount in the container, and slots keep their files there; TERMINAL_MOUNTS are bind mounts of
    # whatever the node has.
    volumes {
      enabled = true
    }

    gc {
      # Nomad would remove an image three minutes after its last container ended, and one that was built here and is in no
      # registry could not be had again.
      image = false
    }
  }
}
