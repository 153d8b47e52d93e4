echo "Content-Type: text/plain"
