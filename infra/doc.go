// Package infra holds what Posthorn needs in Azure as Bicep, and the tests that hold it
// against the code without Azure: README.md says what is made and why.
package infra
