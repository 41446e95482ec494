// Package test holds the built product against its promises, from the outside:
// in go HTTP requests, command lines and accidents, out come answers, what the
// emulator of ACS has received and what is left in storage.
//
// It holds tests only. They build the handler and the emulator, run Azurite and
// play the identity endpoint of Azure; they import nothing of the product, whose
// packages have tests of their own. Sizes are bytes.
package test
