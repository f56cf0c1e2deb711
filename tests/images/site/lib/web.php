<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Pages and redirects.
defined('MOODLE_INTERNAL') || die();

/** Scheme, host and port of wwwroot. */
function web_origin(): string {
    global $CFG;
    $address = parse_url($CFG->wwwroot);
    return "$address[scheme]://$address[host]" . (isset($address['port']) ? ":$address[port]" : '');
}

function web_redirect(string $address): never {
    header($_SERVER['SERVER_PROTOCOL'] . ' 303 See Other');
    header('X-Redirect-By: Moodle');
    header("Location: $address");
    header('Content-Language: en');
    $shown = htmlspecialchars($address);
    echo "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Redirect</title></head><body>"
        . "<div id=\"page\">This page should redirect. <a href=\"$shown\">Continue</a></div></body></html>\n";
    exit;
}

/** A request for another host, port or scheme than wwwroot's is sent there, unless a proxy is configured. */
function web_check_address(): void {
    global $CFG;
    $root = parse_url($CFG->wwwroot . '/');
    $secure = !empty($_SERVER['HTTPS']) && $_SERVER['HTTPS'] !== 'off';
    $called = parse_url('http://' . ($_SERVER['HTTP_HOST'] ?? ''));
    $port = $called['port'] ?? ($secure ? 443 : 80);
    $samehost = ($called['host'] ?? '') === $root['host'];
    $sameport = empty($root['port']) || $root['port'] === $port;
    $path = parse_url('http://host' . $_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/';
    if (!empty($CFG->reverseproxy)) {
        if ($samehost && $sameport) {
            throw new standin_error('Reverse proxy enabled, server cannot be accessed directly. Contact the administrator.', 404);
        }
    } elseif (!empty($called['host']) && (!$samehost || !$sameport || !str_starts_with($path, $root['path']))) {
        $below = str_starts_with($path, $root['path']) ? substr($_SERVER['REQUEST_URI'], strlen($root['path'])) : '';
        web_redirect("$CFG->wwwroot/$below");
    }
    if (!empty($CFG->sslproxy)) {
        if ($root['scheme'] !== 'https') {
            throw new standin_error('With $CFG->sslproxy the address in $CFG->wwwroot must begin with https', 404);
        }
    } elseif (!$secure && $root['scheme'] === 'https') {
        web_redirect($CFG->wwwroot);
    }
}

function web_page(string $title, string $content): void {
    global $CFG, $SITE, $USER;
    $short = htmlspecialchars($SITE->shortname ?? '');
    $key = json_encode(['wwwroot' => $CFG->wwwroot, 'sesskey' => $_SESSION['sesskey'] ?? '']);
    $release = htmlspecialchars((string)($CFG->release ?? ''));
    header('Content-type: text/html; charset=utf-8');
    header('Content-Language: en');
    header('X-Frame-Options: sameorigin');
    header('Cache-Control: no-store, no-cache, must-revalidate, no-transform');
    echo <<<HTML
    <!DOCTYPE html>
    <html dir="ltr" lang="en">
    <head>
    <title>{$title} | {$short}</title>
    <meta charset="utf-8">
    <script>var M = {}; M.cfg = {$key};</script>
    </head>
    <body>
    <main>
    {$content}
    </main>
    <footer>This is a stand-in site for tests, not Moodle. It keeps Moodle's contract: {$release}</footer>
    </body>
    </html>

    HTML;
}

/** For failures at any stage: must not itself need database, session or settings. */
function web_error_page(Throwable $error): void {
    while (ob_get_level()) {
        ob_end_clean();
    }
    $known = $error instanceof standin_error;
    $status = $known ? $error->status : 500;
    $names = [403 => 'Forbidden', 404 => 'Not Found', 409 => 'Conflict', 500 => 'Internal Server Error', 503 => 'Service Unavailable'];
    $text = htmlspecialchars($known && $error->shown ? $error->getMessage() : 'Error: the page cannot be shown; the log has the reason');
    if (!headers_sent()) {
        header($_SERVER['SERVER_PROTOCOL'] . " $status " . ($names[$status] ?? 'Error'));
        header('Content-type: text/html; charset=utf-8');
    }
    echo "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><div class=\"errorbox\">$text</div></body></html>\n";
}

/** Sends visitors of a site that is not installed, or newer than the code, to the administration page. */
function web_require_current(): void {
    global $CFG;
    if (upgrade_is_major()) {
        web_redirect("$CFG->wwwroot/$CFG->admin/index.php");
    }
}

function web_json(array $answer): never {
    header('Content-type: application/json; charset=utf-8');
    echo json_encode($answer, JSON_UNESCAPED_SLASHES), "\n";
    exit;
}
