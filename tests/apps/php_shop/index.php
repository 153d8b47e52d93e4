<?php
// A front controller: the path says what is wanted.
$path = strtok($_SERVER['REQUEST_URI'], '?');
$goods = ['1' => 'tea', '2' => 'cups'];
header('Content-Type: application/json');
if (preg_match('#^(?:/index\.php)?/goods/(\d+)$#', $path, $found)) {
    if (!isset($goods[$found[1]])) {
        http_response_code(404);
    }
    echo json_encode(['goods' => $goods[$found[1]] ?? null, 'query' => $_GET]);
} else {
    echo json_encode(['path' => $path, 'pid' => getmypid()]);
}
