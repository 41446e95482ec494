package main

import "runtime/debug"

// ownVersion is that of this program, from its build.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.Main.Version
}
