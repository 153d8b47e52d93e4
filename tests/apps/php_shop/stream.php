<?php
// Says something, waits for a file of the name in the query, says something else.
echo "first\n";
while (ob_get_level()) {
    ob_end_flush();
}
flush();
for ($i = 0; $i < 500 && !file_exists(__DIR__ . "/data/{$_GET['gate']}"); $i++) {
    usleep(20000);
    clearstatcache();
}
echo "second\n";
