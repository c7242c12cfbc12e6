#!/usr/bin/env node
import('../dist/sandbox-server.js')
