// Posthorn turns a JSON POST into a delivered e-mail through Azure Communication
// Services. This is the custom handler that the Functions host runs.
//
//	               api                accept                decide                deliver
//	HTTP ─────────> rest ─┐
//	webhooks ─────> hook ─┼> gateway ─> caller ─> wire ─> check ─> record ─> quota ─┬─> offload ─> acs ──> ACS
//	timer, queue, ─> trigger             └─ attachments ─> offload (staged)         └─> spool (must wait) ─> queue ─> trigger
//	Event Grid
//
// The folder api is what the world talks to. gateway calls the steps, which the folders
// accept, decide and deliver are, in this order. wiring builds the program from settings,
// store holds what is asked of Azure Storage, and local is Azure on a laptop, which is
// never part of this binary. Imports go downwards; imports.golden lists them all.
//
// It serves, and has no commands: those of the operator are a program of their own,
// package operate.
package main
