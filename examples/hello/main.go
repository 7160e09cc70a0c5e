// Command hello is a web server that greets: an ordinary Go program.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "80"
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Hello from a machine of its own!")
	})
	fmt.Println("hello serves on port", port)
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
