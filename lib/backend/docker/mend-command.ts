import { existsSync } from 'node:fs'
import { findProgram } from '../find-program.ts'
import type { EngineAddress } from './engine-address.ts'

/** The one command that would most likely make the engine answer, by what this machine has. */
export function mendCommand(address: EngineAddress, errorCode: string | undefined): string {
  if (address.namedBy === 'DOCKER_HOST') return 'unset DOCKER_HOST'
  if (address.namedBy !== null) return 'docker context use default'
  if (errorCode === 'EACCES' || errorCode === 'EPERM') return 'sudo usermod -aG docker "$USER" && newgrp docker'
  if (process.platform === 'darwin') return 'open -a Docker'
  const sudo = process.getuid?.() === 0 ? '' : 'sudo '
  if (!findProgram('dockerd', `${process.env.PATH ?? ''}:${systemFolders}`)) return `${sudo}apt-get install docker.io`
  return existsSync('/run/systemd/system') ? `${sudo}systemctl start docker` : `${sudo}dockerd`
}

/** Ordinary users often lack them in PATH, and that is where dockerd lies. */
const systemFolders = '/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin'
