package main

import (
	"fmt"
	"log"
	"os"

	"github.com/sendgrid/sendgrid-go"
	"github.com/sendgrid/sendgrid-go/helpers/mail"
)

func main() {
	client := sendgrid.NewSendClient(os.Getenv("POSTHORN_KEY"))
	client.BaseURL = os.Getenv("POSTHORN_URL") + "/v3/mail/send"
	message := mail.NewSingleEmail(
		mail.NewEmail("Shop", "donotreply@example.com"), "Your order",
		mail.NewEmail("Ann", "ann@example.com"), "Thank you.", "<p>Thank you.</p>",
	)
	response, err := client.Send(message)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.StatusCode, response.Headers["X-Message-Id"], response.Body)
}
