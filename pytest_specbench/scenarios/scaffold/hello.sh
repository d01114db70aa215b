#!/bin/sh
set -eu
printf 'Hello, world!\n' >hello.txt
