// Package test holds the built product against its promises, from the outside:
// in go HTTP requests, command lines and accidents, out come answers, what the
// emulator of ACS has received and what is left in storage.
//
// It holds tests only; the world that they run in is handler/test/world. Nothing
// of the product is imported: its packages have tests of their own. Sizes are
// bytes.
package test
