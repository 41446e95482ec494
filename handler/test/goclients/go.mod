module github.com/posthorn/posthorn/handler/test/goclients

go 1.26.0

require (
	github.com/keighl/postmark v0.0.0-20190821160221-28358b1a94e3
	github.com/mrz1836/postmark v1.7.4
	github.com/resend/resend-go/v3 v3.1.1
	github.com/sendgrid/sendgrid-go v3.16.1+incompatible
)

require (
	github.com/sendgrid/rest v2.6.9+incompatible // indirect
	golang.org/x/net v0.62.0 // indirect
)
