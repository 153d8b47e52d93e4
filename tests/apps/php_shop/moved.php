<?php
header('Location: /tell.php?moved');
