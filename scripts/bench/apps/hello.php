<?php
header('Content-Type: text/plain');
header('X-Process: ' . getmypid());
echo "Hello, world!\n";
