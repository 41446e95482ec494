// Posthorn turns a JSON POST into a delivered e-mail through Azure Communication
// Services. This is the custom handler that the Functions host runs.
//
//	         accept                     decide                deliver
//	HTTP ──> front ─> caller ─> wire ─> check ─> record ─> quota ──> offload ─> acs ──> ACS
//	                              └─ attachments ─> offload (staged, not visible yet)
//	timer, queue, Event Grid ──> trigger ─> gateway
//
// The folders accept, decide and deliver are the steps, in this order; gateway
// calls them, and its one file, read downwards, is the product. wiring builds
// the program from settings, store holds what is asked of Azure Storage, and
// local is Azure on a desk, which is never part of this binary.
//
// It serves, and has no commands: those of the operator are a program of their own,
// package operate.
package main
