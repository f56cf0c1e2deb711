<?php
// Part of the stand-in site of the tests of moodleclaude.backup. Not Moodle, and no code of Moodle is in it.
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// A file cache in the layout of Moodle's default store. As in Moodle what is in it wins over the database, so it goes
// stale when the database is replaced underneath: purge_caches.php is what brings the two together again.
defined('MOODLE_INTERNAL') || die();

/** Make a folder with the site's permissions, whoever runs this. */
function site_folder(string $path): string {
    global $CFG;
    if (!is_dir($path) && !@mkdir($path, $CFG->directorypermissions, true) && !is_dir($path)) {
        throw new standin_error("Error: cannot create the folder $path", 500);
    }
    return $path;
}

/** Write a file so that readers see the old or the new content, never a part. */
function site_write(string $path, string $content): void {
    global $CFG;
    site_folder(dirname($path));
    $partial = $path . '.' . bin2hex(random_bytes(6)) . '.temp';
    if (@file_put_contents($partial, $content) !== strlen($content) || !@rename($partial, $path)) {
        @unlink($partial);
        throw new standin_error("Error: cannot write $path", 500);
    }
    @chmod($path, $CFG->filepermissions);
}

function cache_path(string $area, string $key): string {
    global $CFG;
    $hash = sha1($key);
    return "$CFG->cachedir/cachestore_file/default_application/core_$area/" . substr($hash, 0, 3) . "-cache/$key-$hash.cache";
}

function cache_get(string $area, string $key): mixed {
    $content = @file_get_contents(cache_path($area, $key));
    return $content === false ? null : (unserialize($content, ['allowed_classes' => [stdClass::class]]) ?: null);
}

function cache_set(string $area, string $key, mixed $value): void {
    site_write(cache_path($area, $key), serialize($value));
}

function cache_delete(string $area, string $key): void {
    @unlink(cache_path($area, $key));
}

/** Remove everything below a folder. What cannot be removed, because someone else owns it, stays. */
function folder_empty(string $path): void {
    foreach (@scandir($path) ?: [] as $name) {
        if ($name === '.' || $name === '..') {
            continue;
        }
        if (is_dir("$path/$name") && !is_link("$path/$name")) {
            folder_empty("$path/$name");
            @rmdir("$path/$name");
        } else {
            @unlink("$path/$name");
        }
    }
}

/** Empty the caches and make anew what every request needs. */
function caches_purge(): void {
    global $CFG;
    folder_empty($CFG->cachedir);
    folder_empty($CFG->localcachedir);
    site_write("$CFG->localcachedir/.lastpurged", (string)time());
    cache_configuration();
    settings_load();
}

/** The cache stores' configuration: made when it is missing, kept when it is there. */
function cache_configuration(): void {
    global $CFG;
    $path = ($CFG->altcacheconfigpath ?? "$CFG->dataroot/muc") . '/config.php';
    if (file_exists($path)) {
        return;
    }
    $stores = ['default_application' => ['name' => 'default_application', 'plugin' => 'file', 'default' => true],
               'default_session' => ['name' => 'default_session', 'plugin' => 'session', 'default' => true]];
    $text = ['siteidentifier' => md5((string)($CFG->siteidentifier ?? '')), 'stores' => $stores];
    site_write($path, "<?php defined('MOODLE_INTERNAL') || die();\n \$configuration = " . var_export($text, true) . ";\n");
}
