#!/usr/bin/env node
require('../dist/start-cli.cjs')
