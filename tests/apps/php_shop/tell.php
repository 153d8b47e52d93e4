<?php
// Tells what a request has brought.
header('X-One: 1');
header('Set-Cookie: a=1');
header('Set-Cookie: b=2', false);
echo json_encode([
    'server' => $_SERVER,
    'post' => $_POST,
    'files' => array_map(fn ($file) => [$file['name'], $file['size']], $_FILES),
    'body' => strlen(file_get_contents('php://input')),
]);
